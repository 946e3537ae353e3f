// SPDX-License-Identifier: BSD-2-Clause
import java.io.*;
import java.net.*;
import java.util.*;

class Main {
    static List<Socket> kept = new ArrayList<>();
    static byte[] buf = new byte[4096];

    static void work(byte[] bytes) {
    }

    static void serve(ServerSocket listener) throws IOException {
        // PAGE
    }

    public static void main(String[] words) throws Exception {
        ServerSocket listener = new ServerSocket(0, 50, InetAddress.getByName("127.0.0.1"));
        new ProcessBuilder("/usr/bin/python3", System.getenv("PEER"), "client", "" + listener.getLocalPort())
            .inheritIO().start().waitFor();
        serve(listener);
        System.out.println("ready");
        Thread.sleep(1000000);
    }
}
