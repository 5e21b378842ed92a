#!/bin/sh
# The Node that the playbook or the package carried along, or else the distribution's.
node=/usr/lib/appfleet/node
[ -x "$node" ] || node=node
exec "$node" /usr/lib/appfleet/appfleet.cjs "$@"
