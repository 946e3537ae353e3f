// SPDX-License-Identifier: BSD-2-Clause
import java.io.*;
import java.net.*;
import java.util.*;

class Main {
    static List<Object> kept = new ArrayList<>();

    static void ask(URL url) throws IOException {
        // PAGE
    }

    public static void main(String[] words) throws Exception {
        ask(new URL("http://127.0.0.1:" + words[0] + "/"));
        System.out.println("ready");
        Thread.sleep(1000000);
    }
}
