// SPDX-License-Identifier: BSD-2-Clause
// node.js MODE: connections that Node keeps, by the protocol of stage.h.
//   half-open  allowHalfOpen, and no end() when the peer's end came
//   paused     pause() without resume()
"use strict";
const net = require("net");

const mode = process.argv[2];
const kept = [];

function say(line) {
    process.stdout.write(line + "\n");
}

function told(role, socket) {
    say(`socket ${role} ${process.pid} ${socket._handle.fd} 0 ` +
        `${socket.localAddress}:${socket.localPort} ${socket.remoteAddress}:${socket.remotePort}`);
}

const modes = {
    "half-open"(socket, client) {
        socket.on("data", () => client.end());
        socket.on("end", () => say("ready"));
    },
    // Paused, Node reads on until its own buffer is full: what comes then waits in the kernel.
    "paused"(socket, client) {
        function full() {
            if (socket.readableLength < socket.readableHighWaterMark) {
                setImmediate(full);
                return;
            }
            client.end(Buffer.alloc(3000), () => say("ready"));
        }
        socket.once("data", () => {
            socket.pause();
            client.write(Buffer.alloc(socket.readableHighWaterMark));
            full();
        });
    },
};

let client;

const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    kept.push(socket);
    told("keeper", socket);
    modes[mode](socket, client);
});

server.listen(0, "127.0.0.1", () => {
    client = net.connect({ port: server.address().port, host: "127.0.0.1" }, () => {
        told("client", client);
        client.write("hello");
    });
    client.resume();
});

process.stdin.on("end", () => process.exit(0));
process.stdin.resume();
