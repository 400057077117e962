// Package nodepassword is how a cluster knows its nodes again: a node sends a password of its own
// when it joins, and the first one that came under a name is the only one that is taken. Where the
// password is kept is k3s' contract; the page it is sent to is the stand-in's own.
package nodepassword

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/crypto/scrypt"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/client-go/kubernetes"
)

const (
	// Page is where a node sends its name and password before it asks for anything else.
	Page = "/v1-k3s/node-password"
	// NameHeader and PasswordHeader are k3s' own.
	NameHeader     = "k3s-Node-Name"
	PasswordHeader = "k3s-Node-Password"
	// Namespace holds the Secrets with the hashes.
	Namespace = "kube-system"
	// Joiners is the group of those that come with the cluster's token.
	Joiners = "system:bootstrappers:k3s"

	secretType = corev1.SecretType("k3s.cattle.io/node-password")
	hashKey    = "hash"
)

// The cost of a hash, as k3s has it.
const (
	logN, blocks, parallel, length = 15, 8, 1, 64
)

// ErrRejected says in k3s' words that another host holds the name.
var ErrRejected = errors.New("Node password rejected, duplicate hostname or contents of '/etc/rancher/node/password' may not match server node-passwd entry, try enabling a unique node name with the --with-node-id flag")

// SecretName is the Secret of a node's hash.
func SecretName(node string) string { return node + ".node-password.k3s" }

// Ensure takes the password for the node if it is the first under that name or the same as then.
func Ensure(ctx context.Context, client kubernetes.Interface, node, password string) error {
	secrets := client.CoreV1().Secrets(Namespace)
	known, err := secrets.Get(ctx, SecretName(node), metav1.GetOptions{})
	switch {
	case err == nil:
		return check(known.Data[hashKey], password)
	case !apierrors.IsNotFound(err):
		return err
	}
	sealed, err := hash(password)
	if err != nil {
		return err
	}
	immutable := true
	_, err = secrets.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: SecretName(node), Namespace: Namespace},
		Type:       secretType, Immutable: &immutable, Data: map[string][]byte{hashKey: []byte(sealed)},
	}, metav1.CreateOptions{})
	return err
}

// hash writes "$version:salt:cost:cost:cost:hash".
func hash(password string) (string, error) {
	salt := make([]byte, 8)
	if _, err := rand.Read(salt); err != nil {
		return "", err
	}
	sum, err := scrypt.Key([]byte(password), salt, 1<<logN, blocks, parallel, length)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("$1:%x:%d:%d:%d:%s", salt, logN, blocks, parallel, base64.RawStdEncoding.EncodeToString(sum)), nil
}

func check(sealed []byte, password string) error {
	fields := strings.Split(string(bytes.TrimPrefix(sealed, []byte("$"))), ":")
	if len(fields) != 6 || fields[0] != "1" {
		return fmt.Errorf("the stored node password has an unknown form")
	}
	salt, err := hex.DecodeString(fields[1])
	if err != nil {
		return err
	}
	want, err := base64.RawStdEncoding.DecodeString(fields[5])
	if err != nil {
		return err
	}
	sum, err := scrypt.Key([]byte(password), salt, 1<<logN, blocks, parallel, length)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(sum, want) != 1 {
		return ErrRejected
	}
	return nil
}

// Handler answers at Page those who may join: 200, or 403 when the name is another host's.
func Handler(who authenticator.Request, client kubernetes.Interface) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, known, err := who.AuthenticateRequest(r)
		if err != nil || !known || !slices.Contains(caller.User.GetGroups(), Joiners) {
			http.Error(w, "Unauthorized", http.StatusUnauthorized)
			return
		}
		node, password := r.Header.Get(NameHeader), r.Header.Get(PasswordHeader)
		if node == "" || password == "" {
			http.Error(w, "node name or password not set", http.StatusBadRequest)
			return
		}
		switch err := Ensure(r.Context(), client, node, password); {
		case errors.Is(err, ErrRejected):
			http.Error(w, err.Error(), http.StatusForbidden)
		case err != nil:
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
}
