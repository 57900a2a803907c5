#!/bin/sh
# A hook of tests/all/intents_kills.rs: runs REFPOST, and kills it or git as ../plan
# says: hook, state, the how manieth time, victim, moment, delay.
name=${0##*/}
read -r hook state turn victim moment delay <../plan || :
if [ "$name" != "$hook" ] || [ "${1:--}" != "$state" ]; then
	exec REFPOST hook "$name" "$@"
fi
echo >>../turns
if [ "$(wc -l <../turns)" -ne "$turn" ]; then
	exec REFPOST hook "$name" "$@"
fi
input=$(cat)
git=$PPID
hit() {
	echo "$hook $state $victim $moment" >>../kills
	case $victim in git | both) kill -9 "$git" ;; esac
	case $victim in refpost | both) test -z "$1" || kill -9 "$1" ;; esac
}
run() {
	echo "$input" | REFPOST hook "$name" "$@"
}
case $moment in
before)
	hit ''
	test "$victim" = git && run "$@"
	;;
during)
	echo "$input" | REFPOST hook "$name" "$@" &
	refpost=$!
	sleep "$delay"
	hit "$refpost"
	wait "$refpost" 2>/dev/null
	;;
after)
	run "$@"
	hit ''
	;;
later)
	run "$@"
	{ sleep "$delay"; hit ''; } >/dev/null 2>&1 </dev/null &
	;;
esac
exit 0
