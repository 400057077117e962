package admin

import (
	"fmt"
	"io"
	"os"
	"strings"

	"aiplat.dev/standin/internal/pki"
	"aiplat.dev/standin/internal/token"
)

// rotateToken gives the cluster another secret to join by. It holds from the servers' next start on.
func rotateToken(dataDir string, args []string, out io.Writer) error {
	var old, fresh string
	set := flags("token rotate", &dataDir)
	set.StringVar(&old, "token", os.Getenv("K3S_TOKEN"), "existing token")
	set.StringVar(&old, "t", old, "existing token")
	set.StringVar(&fresh, "new-token", "", "token that replaces it")
	set.String("server", "", "server to connect to; the stand-in has one, this one")
	if err := set.Parse(args); err != nil {
		return err
	}
	if !serverRuns() {
		return fmt.Errorf("no server answers at https://127.0.0.1:6443")
	}
	if err := replaceToken(dataDir, old, fresh); err != nil {
		return err
	}
	_, err := fmt.Fprintln(out, "Token rotated, restart k3s nodes with new token")
	return err
}

func replaceToken(dataDir, old, fresh string) error {
	file := serverFile(dataDir, "token")
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	stored, err := token.Parse(strings.TrimSpace(string(raw)))
	if err != nil {
		return err
	}
	given, err := token.Parse(old)
	if err != nil {
		return fmt.Errorf("--token: %w", err)
	}
	if given.Secret != stored.Secret {
		return fmt.Errorf("--token: this is not the cluster's token")
	}
	if fresh == "" {
		if fresh, err = token.Random(); err != nil {
			return err
		}
	}
	ca, err := os.ReadFile(serverFile(dataDir, "tls", "server-ca.crt"))
	if err != nil {
		return err
	}
	return pki.WriteFile(file, []byte(token.Format(ca, "server", fresh)+"\n"), 0o600)
}
