package component

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	genericapiserver "k8s.io/apiserver/pkg/server"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"

	"aiplat.dev/standin/internal/nodepassword"
	"aiplat.dev/standin/internal/rotation"
)

// CAFileVariable names the environment variable with the CA file that /cacerts hands out.
const CAFileVariable = "STANDIN_CA_FILE"

// newAPIServer is upstream's API server with pages of k3s' in front: two open ones, since a joining
// node has to read the CA before it can trust, or authenticate to, anything here, the one where it
// proves that it is the node that had its name before, and the one where the secret is exchanged.
func newAPIServer() *cobra.Command {
	s := options.NewServerRunOptions()
	ctx := genericapiserver.SetupSignalContext()
	command := &cobra.Command{
		Use: "kube-apiserver", SilenceUsage: true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			rest.SetDefaultWarningHandler(rest.NoWarnings{})
			return s.GenericServerRunOptions.ComponentGlobalsRegistry.Set()
		},
		RunE: func(*cobra.Command, []string) error {
			if err := logsapi.ValidateAndApply(s.Logs, utilfeature.DefaultFeatureGate); err != nil {
				return err
			}
			completed, err := s.Complete(ctx)
			if err != nil {
				return err
			}
			if errs := completed.Validate(); len(errs) != 0 {
				return utilerrors.NewAggregate(errs)
			}
			config, err := app.NewConfig(completed)
			if err != nil {
				return err
			}
			if err := addPages(&config.Aggregator.GenericConfig.Config); err != nil {
				return err
			}
			chain, err := config.Complete()
			if err != nil {
				return err
			}
			server, err := app.CreateServerChain(chain)
			if err != nil {
				return err
			}
			prepared, err := server.PrepareRun()
			if err != nil {
				return err
			}
			return prepared.Run(ctx)
		},
	}
	command.SetContext(ctx)
	for _, set := range s.Flags().FlagSets {
		command.Flags().AddFlagSet(set)
	}
	return command
}

func addPages(config *genericapiserver.Config) error {
	client, err := kubernetes.NewForConfig(config.LoopbackClientConfig)
	if err != nil {
		return err
	}
	inner := config.BuildHandlerChainFunc
	config.BuildHandlerChainFunc = func(handler http.Handler, c *genericapiserver.Config) http.Handler {
		chain := inner(handler, c)
		passwords := nodepassword.Handler(c.Authentication.Authenticator, client)
		ca := os.Getenv(CAFileVariable)
		secret := rotation.Handler(filepath.Join(filepath.Dir(filepath.Dir(ca)), "token"), ca)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/ping":
				fmt.Fprint(w, "pong")
			case "/cacerts":
				w.Header().Set("Content-Type", "text/plain")
				http.ServeFile(w, r, os.Getenv(CAFileVariable))
			case nodepassword.Page:
				passwords.ServeHTTP(w, r)
			case rotation.Page:
				secret.ServeHTTP(w, r)
			default:
				chain.ServeHTTP(w, r)
			}
		})
	}
	return nil
}
