// Package admin is what k3s offers beside running a node: checks of the machine and of certificates,
// new certificates, another token, the state of the encryption of Secrets.
package admin

import (
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"aiplat.dev/standin/internal/config"
)

// command is one sub-command: it reads its own flags and prints to out.
type command func(dataDir string, args []string, out io.Writer) error

var commands = map[string]map[string]command{
	"certificate":     {"check": checkCertificates, "rotate": rotateCertificates},
	"secrets-encrypt": {"status": encryptionStatus},
	"token":           {"rotate": rotateToken},
}

// Has says whether a command of k3s is one of this package's.
func Has(name string) bool { return name == "check-config" || commands[name] != nil }

// Run runs `k3s NAME ARGS…`.
func Run(name string, args []string, out io.Writer) error {
	if name == "check-config" {
		return checkConfig("/", out)
	}
	if len(args) == 0 || commands[name][args[0]] == nil {
		var here []string
		for sub := range commands[name] {
			here = append(here, sub)
		}
		return fmt.Errorf("k3s %s: the stand-in implements of it: %s", name, strings.Join(here, ", "))
	}
	return commands[name][args[0]](config.DataDir(os.Getenv), args[1:], out)
}

// flags begins the flags of a sub-command with those that all have.
func flags(name string, dataDir *string) *flag.FlagSet {
	set := flag.NewFlagSet("k3s "+name, flag.ContinueOnError)
	set.StringVar(dataDir, "data-dir", *dataDir, "folder to hold state")
	set.StringVar(dataDir, "d", *dataDir, "folder to hold state")
	return set
}

// serverRuns says whether this host's server answers.
func serverRuns() bool {
	connection, err := net.DialTimeout("tcp", "127.0.0.1:6443", time.Second)
	if err != nil {
		return false
	}
	connection.Close()
	return true
}

func serverFile(dataDir string, parts ...string) string {
	return filepath.Join(append([]string{dataDir, "server"}, parts...)...)
}
