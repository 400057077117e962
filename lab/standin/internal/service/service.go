// Package service is the life of `k3s server` and `k3s agent` as systemd sees it: start, ready,
// stop, and the exit code when a part ends on its own.
package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/sirupsen/logrus"
	"k8s.io/klog/v2"
	ctrllog "log"

	"aiplat.dev/standin/internal/agent"
	"aiplat.dev/standin/internal/component"
	"aiplat.dev/standin/internal/config"
	"aiplat.dev/standin/internal/host"
	"aiplat.dev/standin/internal/server"
	"aiplat.dev/standin/internal/version"
)

// Server runs `k3s server`.
func Server(args []string) error {
	c, err := load(args, config.LoadServer)
	if err != nil {
		return err
	}
	logging(c.Debug, c.Verbosity)
	return live(func(ctx context.Context, sup *component.Supervisor, ready func()) error {
		if err := server.Run(ctx, sup, c); err != nil {
			return err
		}
		slog.Info("k3s is up and running", "version", version.Version)
		ready()
		return nil
	})
}

// Agent runs `k3s agent`.
func Agent(args []string) error {
	c, err := load(args, config.LoadAgent)
	if err != nil {
		return err
	}
	logging(c.Debug, c.Verbosity)
	return live(func(ctx context.Context, sup *component.Supervisor, ready func()) error {
		node, err := agent.Prepare(ctx, sup, c, c.ServerURL)
		if err != nil {
			return err
		}
		go func() {
			if err := node.Run(ctx, ready); err != nil && ctx.Err() == nil {
				sup.Fail(err)
			}
		}()
		return nil
	})
}

func load[T any](args []string, read func([]string) (T, error)) (T, error) {
	if err := host.RequireLab(); err != nil {
		var none T
		return none, err
	}
	return read(args)
}

// logging sends everything to standard error, where the journal takes it.
func logging(debug bool, verbosity string) {
	level := slog.LevelInfo
	if debug {
		level = slog.LevelDebug
		logrus.SetLevel(logrus.DebugLevel)
	}
	handler := slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})
	slog.SetDefault(slog.New(handler))
	ctrllog.SetFlags(0)
	// The libraries in this process report through klog; at level 0 they keep to what matters.
	klog.SetSlogLogger(slog.New(handler))
	if level, err := strconv.Atoi(verbosity); err == nil && level > 0 {
		slog.SetLogLoggerLevel(slog.Level(-level))
	}
}

// live runs the service until a signal comes or a part fails.
func live(start func(ctx context.Context, sup *component.Supervisor, ready func()) error) error {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	restore := host.HideNotify()
	sup := component.NewSupervisor()
	defer sup.Stop()
	ready := func() {
		restore()
		if err := host.Notify("READY=1"); err != nil {
			slog.Warn("telling systemd that the service is ready", "error", err)
		}
		host.HideNotify()
	}
	started := make(chan error, 1)
	go func() { started <- start(ctx, sup, ready) }()
	for {
		select {
		case <-ctx.Done():
			slog.Info("stopping")
			return nil
		case err := <-started:
			if err != nil {
				return err
			}
			started = nil
		case err := <-sup.Failed():
			return ended(err)
		}
	}
}

// ended decides the exit code. k3s ends with 0 when its container runtime went away, and
// systemd starts it again; anything else is a failure.
func ended(err error) error {
	var exited *component.Exited
	if errors.As(err, &exited) && exited.Name == "containerd" {
		slog.Error("shutting down, the container runtime is gone", "error", err)
		return nil
	}
	return fmt.Errorf("a part of the service failed: %w", err)
}
