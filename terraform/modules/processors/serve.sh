# Serve until SIGTERM, then drain: both in one container, because the outbox is a file that only one process may use.
aggregator serve & child=$!
trap 'kill -TERM $child' TERM
wait $child; code=$?
[ $code -le 128 ] || { wait $child; code=$?; } # the signal has ended the first wait
aggregator drain --patience 60 || exit
exit $code
