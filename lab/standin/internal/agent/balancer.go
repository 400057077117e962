package agent

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"time"
)

// balancerAddress is where k3s' components of a node find the API, wherever the server is.
const balancerAddress = "127.0.0.1:6444"

// balance passes what comes to balancerAddress on to the server until the context ends.
func balance(ctx context.Context, server string) error {
	target, err := url.Parse(server)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", balancerAddress)
	if err != nil {
		return fmt.Errorf("the API's local address: %w", err)
	}
	context.AfterFunc(ctx, func() { listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return // closed, which is how it ends
			}
			go pass(client, target.Host)
		}
	}()
	return nil
}

// pass connects a client with the server until one of them has said all.
func pass(client net.Conn, target string) {
	defer client.Close()
	server, err := net.DialTimeout("tcp", target, 10*time.Second)
	if err != nil {
		slog.Debug("the server cannot be reached", "server", target, "error", err)
		return
	}
	defer server.Close()
	ended := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
		go func() {
			_, _ = io.Copy(way[0], way[1])
			ended <- struct{}{}
		}()
	}
	<-ended
}
