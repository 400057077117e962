package runtime

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"gopkg.in/natefinch/lumberjack.v2"

	"aiplat.dev/standin/internal/component"
)

// Start runs containerd and waits until it answers.
func Start(ctx context.Context, sup *component.Supervisor, p Paths, binDir string) (*containerd.Client, error) {
	for _, dir := range []string{p.Root, p.State, p.CNIConf, filepath.Dir(Socket), filepath.Join(p.Etc, "config-v3.toml.d")} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return nil, err
		}
	}
	err := sup.Start(component.Process{
		Name: "containerd", Path: filepath.Join(binDir, "containerd"),
		Args: []string{"-c", filepath.Join(p.Etc, "config.toml")},
		Log:  &lumberjack.Logger{Filename: p.Log, MaxSize: 50, MaxBackups: 3},
	})
	if err != nil {
		return nil, err
	}
	if err := waitSocket(ctx, Socket); err != nil {
		return nil, err
	}
	client, err := containerd.New(Socket, containerd.WithDefaultNamespace("k8s.io"), containerd.WithTimeout(30*time.Second))
	if err != nil {
		return nil, fmt.Errorf("containerd does not answer: %w", err)
	}
	if _, err := client.Version(ctx); err != nil {
		return nil, fmt.Errorf("containerd does not answer: %w; see %s", err, p.Log)
	}
	return client, nil
}

func waitSocket(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := net.Dial("unix", path)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("containerd does not listen on %s: %w", path, err)
		case <-tick.C:
		}
	}
}
