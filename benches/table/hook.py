#!/usr/bin/env python3
"""A post-receive hook of the usual kind: it announces each ref with a signed POST."""

import hashlib
import hmac
import json
import os
import subprocess
import sys
import time
import urllib.request
import uuid

KEY = b"sixteen bytes or more"


def git(*args):
    return subprocess.check_output(("git", *args), text=True).splitlines()


for line in sys.stdin:
    old, new, ref = line.split()
    commits = git("rev-list", f"{old}..{new}")
    body = json.dumps(
        {
            "msg_id": f"{time.strftime('%Y')}-{uuid.uuid4()}",
            "timestamp": int(time.time()),
            "topic": "git.receive",
            "msg": {
                "branch": ref.removeprefix("refs/heads/"),
                "old_commit": old,
                "start_commit": commits[-1],
                "end_commit": commits[0],
                "total_commits": len(commits),
                "authors": git("log", "--format=%an <%ae>", f"{old}..{new}"),
                "changed_files": git("diff-tree", "-r", "--name-status", old, new),
            },
        }
    ).encode()
    signature = hmac.new(KEY, body, hashlib.sha256).hexdigest()
    headers = {"Content-Type": "application/json", "X-Signature-256": signature}
    request = urllib.request.Request(os.environ["URL"], body, headers)
    urllib.request.urlopen(request, timeout=5).read()
