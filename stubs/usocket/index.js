// dbus-next falls back to node:net when this optional native addon is absent; the real one does not build on Node 20.
throw new Error('usocket is not used');
