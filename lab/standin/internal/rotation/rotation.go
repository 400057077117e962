// Package rotation exchanges the cluster's secret while the server runs, as k3s' page of that name does.
package rotation

import (
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"aiplat.dev/standin/internal/token"
)

// Page is where the cluster's secret is exchanged, as `k3s token rotate` has it done.
const Page = "/v1-k3s/token"

// Handler answers PUT with the body {"newToken": "…"} from whoever shows the server's secret: the file has the
// new one from then on. As with k3s, nothing else changes before the server is restarted with it.
func Handler(file, caFile string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		known, err := stored(file)
		user, shown, sent := r.BasicAuth()
		switch {
		case r.Method != http.MethodPut:
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		case err != nil:
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		case !sent || user != "server" || subtle.ConstantTimeCompare([]byte(shown), []byte(known)) != 1:
			http.Error(w, "Unauthorized", http.StatusUnauthorized)
			return
		}
		var asked struct {
			NewToken string `json:"newToken"`
		}
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&asked); err != nil || asked.NewToken == "" {
			http.Error(w, "newToken is missing", http.StatusBadRequest)
			return
		}
		if err := replace(file, caFile, asked.NewToken); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
}

func stored(file string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	t, err := token.Parse(strings.TrimSpace(string(data)))
	return t.Secret, err
}

func replace(file, caFile, secret string) error {
	ca, err := os.ReadFile(caFile)
	if err != nil {
		return err
	}
	fresh := filepath.Join(filepath.Dir(file), ".token.new")
	if err := os.WriteFile(fresh, []byte(token.Format(ca, "server", secret)+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(fresh, file)
}
