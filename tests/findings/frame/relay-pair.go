// SPDX-License-Identifier: BSD-2-Clause
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"time"
)

var _ = time.Second

// The relay between a, which has ended its half, and b, which never will.
func relay(a, b *net.TCPConn) {
	fmt.Println("ready")
	// PAGE
}

func main() {
	listener, _ := net.Listen("tcp", "127.0.0.1:0")
	port := strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
	exec.Command("/usr/bin/python3", os.Getenv("PEER"), "client", port).Run()
	a, _ := listener.Accept()
	origin := exec.Command("/usr/bin/python3", os.Getenv("PEER"), "origin")
	out, _ := origin.StdoutPipe()
	origin.Start()
	var there int
	fmt.Fscan(out, &there)
	b, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(there))
	if err != nil {
		panic(err)
	}
	relay(a.(*net.TCPConn), b.(*net.TCPConn))
	io.Copy(io.Discard, out)
}
