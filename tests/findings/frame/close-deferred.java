// SPDX-License-Identifier: BSD-2-Clause
import java.net.*;
import java.nio.*;
import java.nio.channels.*;

class Main {
    static Selector selector;
    static SocketChannel channel;
    static SelectionKey key;

    static void end() throws Exception {
        // PAGE
    }

    public static void main(String[] words) throws Exception {
        ServerSocketChannel listener = ServerSocketChannel.open();
        listener.bind(new InetSocketAddress("127.0.0.1", 0));
        new ProcessBuilder("/usr/bin/python3", System.getenv("PEER"), "client", "" + listener.socket().getLocalPort())
            .inheritIO().start().waitFor();
        channel = listener.accept();
        channel.configureBlocking(false);
        ByteBuffer buf = ByteBuffer.allocate(4096);
        while (channel.read(buf) >= 0)
            buf.clear();
        selector = Selector.open();
        key = channel.register(selector, 0);
        Thread loop = new Thread(() -> {
            try {
                for (;;)
                    selector.select();
            } catch (Exception e) {
                e.printStackTrace();
            }
        });
        loop.start();
        while (loop.getState() != Thread.State.RUNNABLE)
            Thread.sleep(10);
        Thread.sleep(300);
        end();
        System.out.println("ready");
    }
}
