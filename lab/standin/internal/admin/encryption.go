package admin

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	apiserverv1 "k8s.io/apiserver/pkg/apis/apiserver/v1"
)

// state is what `secrets-encrypt status -o json` prints. The stand-in makes one key and keeps it, so
// its stage is always the first.
type state struct {
	Stage     string `json:"stage"`
	ActiveKey string `json:"activekey"`
	Enable    bool   `json:"enable"`
	HashMatch bool   `json:"hashmatch"`
	kind      string
}

// encryptionStatus says whether Secrets are encrypted in the datastore, and by which key.
func encryptionStatus(dataDir string, args []string, out io.Writer) error {
	set := flags("secrets-encrypt status", &dataDir)
	form := set.String("o", "text", "text or json")
	if err := set.Parse(args); err != nil {
		return err
	}
	if !serverRuns() {
		return fmt.Errorf("no server answers at https://127.0.0.1:6443")
	}
	found, err := encryption(dataDir)
	if err != nil {
		return err
	}
	if *form == "json" {
		return json.NewEncoder(out).Encode(found)
	}
	return printState(found, out)
}

func printState(found state, out io.Writer) error {
	if !found.Enable {
		_, err := fmt.Fprintln(out, "Encryption Status: Disabled, no configuration file found")
		return err
	}
	_, err := fmt.Fprintf(out, "Encryption Status: Enabled\nCurrent Rotation Stage: %s\nServer Encryption Hashes: All hashes match\n\n"+
		"Active  Key Type  Name\n------  --------  ----\n *      %s  %s\n", found.Stage, found.kind, found.ActiveKey)
	return err
}

func encryption(dataDir string) (state, error) {
	found := state{Stage: "start", HashMatch: true}
	raw, err := os.ReadFile(serverFile(dataDir, "cred", "encryption-config.json"))
	if os.IsNotExist(err) {
		return found, nil
	}
	if err != nil {
		return found, err
	}
	var document apiserverv1.EncryptionConfiguration
	if err := json.Unmarshal(raw, &document); err != nil {
		return found, err
	}
	for _, resource := range document.Resources {
		for _, provider := range resource.Providers {
			switch {
			case provider.AESCBC != nil:
				found.kind, found.ActiveKey = "AES-CBC", provider.AESCBC.Keys[0].Name
			case provider.Secretbox != nil:
				found.kind, found.ActiveKey = "XSalsa20-POLY1305", provider.Secretbox.Keys[0].Name
			}
		}
	}
	found.Enable = found.ActiveKey != ""
	return found, nil
}
