// Package server runs the control plane: certificates, datastore, API server, controllers,
// packaged components, and what lets nodes join. The node beside it is package agent's.
package server

import (
	"path/filepath"

	"aiplat.dev/standin/internal/config"
)

// server is one server's state while it starts.
type server struct {
	config.Server
	secret      string // the token's secret part
	agentSecret string
	caPEM       []byte
	clientCA    []byte
}

func (s *server) path(parts ...string) string {
	return filepath.Join(append([]string{s.DataDir, "server"}, parts...)...)
}

func (s *server) tls(name string) string { return s.path("tls", name) }

// socket is where kine, in this process, speaks etcd's protocol.
func (s *server) socket() string { return "unix://" + s.path("kine.sock") }

// url is how this host reaches its own API.
func (s *server) url() string { return "https://127.0.0.1:" + s.Port }
