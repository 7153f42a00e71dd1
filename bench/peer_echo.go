// SPDX-License-Identifier: ISC

// What one writes in Go: a goroutine for each connection, which reads frames
// through a buffer and writes each back; what it has written leaves when there is
// nothing more to read.
package main

import (
	"bufio"
	"encoding/binary"
	"io"
	"log"
	"net"
	"os"
)

func serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	out := bufio.NewWriter(conn)
	head := make([]byte, 4)
	var payload []byte
	for {
		if _, err := io.ReadFull(in, head); err != nil {
			return
		}
		n := int(binary.BigEndian.Uint32(head))
		if n > 1<<24 {
			return
		}
		if n > len(payload) {
			payload = make([]byte, n)
		}
		if _, err := io.ReadFull(in, payload[:n]); err != nil {
			return
		}
		out.Write(head)
		out.Write(payload[:n])
		if in.Buffered() == 0 && out.Flush() != nil {
			return
		}
	}
}

func main() {
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	for {
		if conn, err := listener.Accept(); err == nil {
			go serve(conn)
		}
	}
}
