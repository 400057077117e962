package rotation

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aiplat.dev/standin/internal/token"
)

// Who shows the secret exchanges it; anybody else, and any other method, changes nothing.
func TestRotationNeedsTheSecretAndChangesTheFile(t *testing.T) {
	folder := t.TempDir()
	file, ca := filepath.Join(folder, "token"), filepath.Join(folder, "ca.crt")
	if err := os.WriteFile(ca, []byte("a CA"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := token.Format([]byte("a CA"), "server", "old") + "\n"
	if err := os.WriteFile(file, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	ask := func(method, secret string) int {
		request := httptest.NewRequest(method, Page, strings.NewReader(`{"newToken":"new"}`))
		request.SetBasicAuth("server", secret)
		answer := httptest.NewRecorder()
		Handler(file, ca).ServeHTTP(answer, request)
		return answer.Code
	}
	for _, wrong := range [][2]string{{http.MethodPut, "wrong"}, {http.MethodPost, "old"}} {
		if ask(wrong[0], wrong[1]) == http.StatusOK {
			t.Errorf("%v is let in", wrong)
		}
		if now, _ := os.ReadFile(file); string(now) != before {
			t.Errorf("%v changed the token", wrong)
		}
	}
	if code := ask(http.MethodPut, "old"); code != http.StatusOK {
		t.Fatalf("answered %d", code)
	}
	now, _ := os.ReadFile(file)
	if string(now) != token.Format([]byte("a CA"), "server", "new")+"\n" {
		t.Errorf("the file has %q", now)
	}
}
