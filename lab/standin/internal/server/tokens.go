package server

import (
	"fmt"
	"os"
	"strings"

	"aiplat.dev/standin/internal/pki"
	"aiplat.dev/standin/internal/token"
)

// ensureTokens settles the cluster's secret: the configured one, the one on disk, or a new one.
// It is called before certificates exist and checks what can only be checked then.
func (s *server) ensureTokens() error {
	configured, err := parseOptional(s.Token)
	if err != nil {
		return err
	}
	stored, err := s.storedSecret()
	if err != nil {
		return err
	}
	if configured.CAHash != "" {
		ca, err := os.ReadFile(s.tls("server-ca.crt"))
		if os.IsNotExist(err) {
			return fmt.Errorf("token: the first server makes the CA, so its token cannot hold a CA hash yet; give only the secret part")
		}
		if err != nil {
			return err
		}
		if err := configured.CheckCA(ca); err != nil {
			return err
		}
	}
	switch {
	case configured.Secret != "" && stored != "" && configured.Secret != stored:
		return fmt.Errorf("token: bootstrap data already found and encrypted with different token; %s holds the one that this data belongs to", s.path("token"))
	case configured.Secret != "":
		s.secret = configured.Secret
	case stored != "":
		s.secret = stored
	default:
		if s.secret, err = token.Random(); err != nil {
			return err
		}
	}
	agent, err := parseOptional(s.AgentToken)
	s.agentSecret = agent.Secret
	return err
}

func parseOptional(text string) (token.Token, error) {
	if text == "" {
		return token.Token{}, nil
	}
	return token.Parse(text)
}

func (s *server) storedSecret() (string, error) {
	data, err := os.ReadFile(s.path("token"))
	if os.IsNotExist(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	t, err := token.Parse(strings.TrimSpace(string(data)))
	return t.Secret, err
}

// writeTokens leaves the token files where k3s leaves them.
func (s *server) writeTokens() error {
	own := token.Format(s.caPEM, "server", s.secret) + "\n"
	if err := pki.WriteFile(s.path("token"), []byte(own), 0o600); err != nil {
		return err
	}
	if err := relink(s.path("token"), s.path("node-token")); err != nil {
		return err
	}
	if s.agentSecret == "" {
		return relink(s.path("token"), s.path("agent-token"))
	}
	agent := token.Format(s.caPEM, "node", s.agentSecret) + "\n"
	return pki.WriteFile(s.path("agent-token"), []byte(agent), 0o600)
}

func relink(target, path string) error {
	if old, err := os.Readlink(path); err == nil && old == target {
		return nil
	}
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return err
	}
	return os.Symlink(target, path)
}
