// Package component runs the parts of Kubernetes: each as a child process of the same binary,
// because two of upstream's commands cannot be built in one process. Which flags a part gets
// is decided by packages server and agent.
package component

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// stopAfter is how long a child may take to end before it is killed.
const stopAfter = 8 * time.Second

// Process describes one child.
type Process struct {
	Name string
	Path string // program; empty means this binary itself, as `internal <Name>`
	Args []string
	Env  []string // added to the environment of the parent
	Log  io.Writer
	// Grace is how long the child may take to end before it is killed; zero means 8 seconds.
	Grace time.Duration
}

// Supervisor starts children and reports the first one that ends on its own.
type Supervisor struct {
	starts  chan start
	failed  chan error
	mu      sync.Mutex
	running []*child
	closing bool
}

type child struct {
	name  string
	grace time.Duration
	cmd   *exec.Cmd
	done  chan struct{}
}

type start struct {
	cmd    *exec.Cmd
	answer chan error
}

// NewSupervisor returns a supervisor whose children die with this process. The kernel ties a
// child's death signal to the thread that started it, so one thread is kept for all of them.
func NewSupervisor() *Supervisor {
	s := &Supervisor{starts: make(chan start), failed: make(chan error, 16)}
	go func() {
		runtime.LockOSThread()
		for request := range s.starts {
			request.answer <- request.cmd.Start()
		}
	}()
	return s
}

// Start runs a child.
func (s *Supervisor) Start(p Process) error {
	path, args := p.Path, p.Args
	if path == "" {
		path, args = "/proc/self/exe", append([]string{"internal", p.Name}, p.Args...)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), p.Env...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if p.Log != nil {
		cmd.Stdout, cmd.Stderr = p.Log, p.Log
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	answer := make(chan error)
	s.starts <- start{cmd: cmd, answer: answer}
	if err := <-answer; err != nil {
		return fmt.Errorf("%s does not start: %w", p.Name, err)
	}
	slog.Info("Running "+p.Name, "pid", cmd.Process.Pid)
	c := &child{name: p.Name, grace: cmp.Or(p.Grace, stopAfter), cmd: cmd, done: make(chan struct{})}
	s.mu.Lock()
	s.running = append(s.running, c)
	s.mu.Unlock()
	go s.watch(c)
	return nil
}

func (s *Supervisor) watch(c *child) {
	err := c.cmd.Wait()
	close(c.done)
	s.mu.Lock()
	closing := s.closing
	s.mu.Unlock()
	if !closing {
		s.failed <- &Exited{Name: c.name, Cause: err}
	}
}

// Exited reports a child that ended on its own.
type Exited struct {
	Name  string
	Cause error
}

func (e *Exited) Error() string { return fmt.Sprintf("%s exited: %v", e.Name, e.Cause) }

// Failed delivers children that ended without being asked to.
func (s *Supervisor) Failed() <-chan error { return s.failed }

// Fail reports something else that the whole service cannot go on without.
func (s *Supervisor) Fail(err error) { s.failed <- err }

// Stop ends all children, the last started first, and kills those that take too long.
func (s *Supervisor) Stop() {
	s.mu.Lock()
	s.closing = true
	running := s.running
	s.mu.Unlock()
	for i := len(running) - 1; i >= 0; i-- {
		c := running[i]
		_ = c.cmd.Process.Signal(syscall.SIGTERM)
		ctx, cancel := context.WithTimeout(context.Background(), c.grace)
		select {
		case <-c.done:
		case <-ctx.Done():
			slog.Info("ending " + c.name)
			_ = c.cmd.Process.Kill()
			<-c.done
		}
		cancel()
	}
}
