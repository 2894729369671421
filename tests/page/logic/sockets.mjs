// WebSockets that only record, and timers that run when told.

/** Return what a socket of the page needs: `connect` and `later`. `sockets` has the connections, `due()` ends pauses. */
export function recorded() {
  const [sockets, timers] = [[], []];
  const connect = () => {
    const socket = Object.assign(new EventTarget(), { sent: [], closed: false });
    socket.send = (text) => socket.sent.push(JSON.parse(text));
    socket.close = () => { socket.closed = true; };
    socket.say = (message) => socket.dispatchEvent(Object.assign(new Event("message"), { data: JSON.stringify(message) }));
    sockets.push(socket);
    return socket;
  };
  const due = () => timers.splice(0).forEach((call) => call());
  return { sockets, timers, connect, later: (call) => timers.push(call), due };
}
