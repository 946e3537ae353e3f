// SPDX-License-Identifier: BSD-2-Clause
package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
)

var _ = errors.New

func ask(url string) error {
	// PAGE
	return nil
}

func main() {
	ask("http://127.0.0.1:" + os.Args[1] + "/")
	fmt.Println("ready")
	listener, _ := net.Listen("tcp", "127.0.0.1:0")
	listener.Accept()
}
