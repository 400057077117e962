package netpol

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cloudnativelabs/kube-router/v2/pkg/utils"
)

// program puts an ipset first in PATH that has two sets, and keeps what it is to restore.
func program(t *testing.T) (restored string) {
	t.Helper()
	folder := t.TempDir()
	restored = filepath.Join(folder, "restored")
	text := `#!/bin/sh
case $1 in
save)
	echo "create KUBE-DST-FOUR hash:ip family inet hashsize 1024 maxelem 65536 timeout 0"
	echo "add KUBE-DST-FOUR 10.42.0.9 timeout 0"
	echo "create KUBE-DST-SIX hash:ip family inet6 hashsize 1024 maxelem 65536 timeout 0"
	;;
restore) cat > "` + restored + `" ;;
esac
`
	if err := os.WriteFile(filepath.Join(folder, "ipset"), []byte(text), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	t.Setenv("PATH", folder+":"+os.Getenv("PATH"))
	return restored
}

func TestEachFamilyReadsItsOwnSetsAlone(t *testing.T) {
	program(t)
	for of6, want := range map[bool]string{false: "KUBE-DST-FOUR", true: "KUBE-DST-SIX"} {
		sets, err := newSets(of6)
		if err != nil {
			t.Fatal(err)
		}
		if err := sets.Save(); err != nil {
			t.Fatal(err)
		}
		if found := slices.Collect(maps.Keys(sets.Sets())); !slices.Equal(found, []string{want}) {
			t.Errorf("six=%v: sets %v, want %s", of6, found, want)
		}
	}
}

func TestSetsOfIPv6HaveTheNamesThatTheRulesUse(t *testing.T) {
	restored := program(t)
	sets, err := newSets(true)
	if err != nil {
		t.Fatal(err)
	}
	var handler utils.IPSetHandler = sets
	handler.RefreshSet("KUBE-SRC-NEW", [][]string{{"fd42::7", "timeout", "0"}}, utils.TypeHashIP)
	if err := handler.Restore(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(restored) //nolint:gosec // the test's own
	if err != nil {
		t.Fatal(err)
	}
	want := "create KUBE-SRC-NEW hash:ip timeout 0 family inet6\n"
	if !strings.Contains(string(text), want) {
		t.Errorf("restored %q, want a line %q", text, want)
	}
}
