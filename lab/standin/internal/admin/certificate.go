package admin

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"
)

// warnWithin is how long before a certificate's end k3s begins to warn.
const warnWithin = 120 * 24 * time.Hour

// certificate is a line of `certificate check`.
type certificate struct {
	Filename string    `json:"filename"`
	Subject  string    `json:"subject"`
	Usages   []string  `json:"usages"`
	Expires  time.Time `json:"expiryTime"`
	Residual string    `json:"residualTime"`
	Status   string    `json:"status"`
}

// checkCertificates says how long each certificate on this host holds.
func checkCertificates(dataDir string, args []string, out io.Writer) error {
	set := flags("certificate check", &dataDir)
	form := set.String("o", "text", "text, table or json")
	if err := set.Parse(args); err != nil {
		return err
	}
	found, err := certificates(dataDir, time.Now())
	if err != nil {
		return err
	}
	switch *form {
	case "json":
		return json.NewEncoder(out).Encode(found)
	case "table":
		return table(found, out)
	case "text":
		for _, c := range found {
			fmt.Fprintf(out, "%s: certificate %s is %s, expires at %s\n", c.Filename, c.Subject, strings.ToLower(c.Status), c.Expires.Format(time.RFC3339))
		}
		return nil
	}
	return fmt.Errorf("-o: %q is none of text, table, json", *form)
}

func table(found []certificate, out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "FILENAME\tSUBJECT\tUSAGES\tEXPIRES\tRESIDUAL TIME\tSTATUS")
	for _, c := range found {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", filepath.Base(c.Filename), c.Subject, strings.Join(c.Usages, ","), c.Expires.Format(time.RFC3339), c.Residual, c.Status)
	}
	return w.Flush()
}

// files are the certificates of this host, the server's own and its node's.
func files(dataDir string) ([]string, error) {
	var found []string
	for _, pattern := range []string{serverFile(dataDir, "tls", "*.crt"), filepath.Join(dataDir, "agent", "*.crt")} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		found = append(found, paths...)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no certificates below %s: k3s did not run here", dataDir)
	}
	return found, nil
}

func certificates(dataDir string, now time.Time) ([]certificate, error) {
	paths, err := files(dataDir)
	if err != nil {
		return nil, err
	}
	var found []certificate
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		block, _ := pem.Decode(raw)
		if block == nil {
			return nil, fmt.Errorf("%s: no certificate in PEM form", path)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		found = append(found, certificate{path, cert.Subject.String(), usages(cert), cert.NotAfter,
			cert.NotAfter.Sub(now).Truncate(time.Hour).String(), status(cert, now)})
	}
	return found, nil
}

func status(cert *x509.Certificate, now time.Time) string {
	switch {
	case now.Before(cert.NotBefore):
		return "NOT YET VALID"
	case now.After(cert.NotAfter):
		return "EXPIRED"
	case cert.NotAfter.Sub(now) < warnWithin:
		return "WARNING"
	}
	return "OK"
}

func usages(cert *x509.Certificate) []string {
	names := map[x509.ExtKeyUsage]string{x509.ExtKeyUsageClientAuth: "ClientAuth", x509.ExtKeyUsageServerAuth: "ServerAuth"}
	var found []string
	if cert.IsCA {
		found = append(found, "CertSign")
	}
	for _, usage := range cert.ExtKeyUsage {
		found = append(found, names[usage])
	}
	return found
}

// rotateCertificates takes this host's certificates away, so that the next start makes others. The
// authorities stay, and what was there is kept beside.
func rotateCertificates(dataDir string, args []string, out io.Writer) error {
	set := flags("certificate rotate", &dataDir)
	if err := set.Parse(args); err != nil {
		return err
	}
	if serverRuns() {
		return fmt.Errorf("stop the service first: what runs continues with the certificates it has")
	}
	kept, err := setAside(dataDir, time.Now())
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "Successfully backed up certificates to %s, please restart k3s server or agent to rotate certificates\n", kept)
	return err
}

// setAside moves certificates and their keys; authorities and the key of service accounts are copied.
func setAside(dataDir string, now time.Time) (string, error) {
	paths, err := files(dataDir)
	if err != nil {
		return "", err
	}
	kept := serverFile(dataDir, fmt.Sprintf("tls-%d", now.Unix()))
	if err := os.CopyFS(kept, os.DirFS(serverFile(dataDir, "tls"))); err != nil {
		return "", err
	}
	if err := os.Chmod(kept, 0o700); err != nil {
		return "", err
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "-ca.crt") {
			continue
		}
		for _, each := range []string{path, strings.TrimSuffix(path, ".crt") + ".key"} {
			if err := os.Remove(each); err != nil && !os.IsNotExist(err) {
				return "", err
			}
		}
	}
	// The kubelet's own, which it keeps under a name with a date.
	if err := os.RemoveAll(filepath.Join(dataDir, "agent", "pki")); err != nil {
		return "", err
	}
	return kept, os.RemoveAll(filepath.Join(dataDir, "agent", "kubelet.kubeconfig"))
}
