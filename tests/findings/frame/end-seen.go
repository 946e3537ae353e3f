// SPDX-License-Identifier: BSD-2-Clause
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
)

var kept []net.Conn

func serve(conn net.Conn) error {
	buf := make([]byte, 4096)
	for {
		// PAGE
		_ = n
		if err != nil && err != io.EOF {
			return err
		}
	}
}

func main() {
	listener, _ := net.Listen("tcp", "127.0.0.1:0")
	port := strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
	exec.Command("/usr/bin/python3", os.Getenv("PEER"), "client", port).Run()
	conn, _ := listener.Accept()
	kept = append(kept, conn)
	serve(conn)
	fmt.Println("ready")
	listener.Accept()
	fmt.Println(kept)
}
