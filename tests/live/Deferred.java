// SPDX-License-Identifier: BSD-2-Clause
// A channel that is closed while it is registered: the descriptor stays until the next select().
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;

public class Deferred {
    static void told(String role, SocketChannel channel) throws Exception {
        InetSocketAddress here = (InetSocketAddress) channel.getLocalAddress();
        InetSocketAddress there = (InetSocketAddress) channel.getRemoteAddress();
        System.out.println("socket " + role + " " + ProcessHandle.current().pid() + " -1 0 "
            + here.getAddress().getHostAddress() + ":" + here.getPort() + " "
            + there.getAddress().getHostAddress() + ":" + there.getPort());
    }

    public static void main(String[] arguments) throws Exception {
        System.setProperty("java.net.preferIPv4Stack", "true");
        ServerSocketChannel listener = ServerSocketChannel.open();
        listener.bind(new InetSocketAddress("127.0.0.1", 0));
        SocketChannel client = SocketChannel.open(listener.getLocalAddress());
        SocketChannel server = listener.accept();
        told("keeper", server);
        told("client", client);
        Selector selector = Selector.open();
        server.configureBlocking(false);
        server.register(selector, SelectionKey.OP_READ);
        client.write(ByteBuffer.wrap(new byte[5]));
        client.shutdownOutput();
        ByteBuffer bytes = ByteBuffer.allocate(100);
        selector.select();
        while (server.read(bytes) >= 0) {
            bytes.clear();
        }
        server.close();
        client.close();
        System.out.println("ready");
        while (System.in.read() >= 0) {
        }
    }
}
