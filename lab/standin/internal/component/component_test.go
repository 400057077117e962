package component

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"
)

func TestUsersFlagsReplaceOurs(t *testing.T) {
	got := Flags{"b": "1", "a": "2", "feature-gates": "X=true"}.Args([]string{"b=3", "--audit=1", "audit=2"})
	if want := []string{"--a=2", "--feature-gates=X=true", "--b=3", "--audit=1", "--audit=2"}; !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestChildThatEndsByItselfIsReported(t *testing.T) {
	s := NewSupervisor()
	if err := s.Start(Process{Name: "short", Path: "/bin/sh", Args: []string{"-c", "exit 3"}, Log: &bytes.Buffer{}}); err != nil {
		t.Fatal(err)
	}
	var exited *Exited
	select {
	case err := <-s.Failed():
		if !errors.As(err, &exited) || exited.Name != "short" {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("nobody noticed")
	}
}

func TestStopEndsChildrenAlsoStubbornOnes(t *testing.T) {
	s := NewSupervisor()
	var out bytes.Buffer
	if err := s.Start(Process{Name: "stubborn", Path: "/bin/sh", Args: []string{"-c", "trap '' TERM; while :; do sleep 1; done"}, Log: &out, Grace: 100 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	s.Stop()
	select {
	case err := <-s.Failed():
		t.Errorf("a child that was asked to end is reported: %v", err)
	default:
	}
	for _, c := range s.running {
		select {
		case <-c.done:
		default:
			t.Errorf("%s still runs", c.name)
		}
	}
}

func TestProgramThatIsMissing(t *testing.T) {
	if err := NewSupervisor().Start(Process{Name: "nothing", Path: "/no/such/program"}); err == nil {
		t.Error("no error")
	}
}
