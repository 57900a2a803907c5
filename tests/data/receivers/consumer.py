"""What a consumer of fedora-messaging makes of each message: a line of JSON."""
import json
import os


def show(message):
    # As the publisher's own library would have made it.
    made = type(message)(body=message.body, topic=message.topic)._properties
    came = message._properties
    same = {**made.headers, "sent-at": ""} == {**came.headers, "sent-at": ""}
    names = ("content_type", "content_encoding", "delivery_mode", "priority", "app_id", "type")
    same = same and all(getattr(made, name) == getattr(came, name) for name in names)
    line = dict(
        schema=type(message).__name__,
        topic=message.topic,
        id=message.id,
        body=message.body,
        same=same,
        headers=came.headers,
        summary=message.summary,
        text=str(message),
        url=message.url,
        usernames=message.usernames,
    )
    with open(os.environ["SEEN"], "a") as seen:
        seen.write(json.dumps(line) + "\n")
