package server

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"

	"aiplat.dev/standin/internal/agent"
	"aiplat.dev/standin/internal/component"
	"aiplat.dev/standin/internal/config"
	"aiplat.dev/standin/internal/host"
	"aiplat.dev/standin/internal/manifests"
)

// Run starts a server and its own node. It returns once the API serves and what nodes need to
// join is in place; the node itself becomes ready later, as in k3s.
func Run(ctx context.Context, sup *component.Supervisor, c config.Server) error {
	s := &server{Server: c}
	if err := host.MakeDataDir(s.DataDir); err != nil {
		return err
	}
	if err := s.ensureTokens(); err != nil {
		return err
	}
	addresses, err := agent.NodeAddresses(c.Node)
	if err != nil {
		return err
	}
	if err := s.ensureCerts(addresses); err != nil {
		return fmt.Errorf("certificates: %w", err)
	}
	for _, step := range []func() error{s.writeTokens, s.ensureEncryption, s.writeManifests} {
		if err := step(); err != nil {
			return err
		}
	}
	if err := s.startDatastore(ctx); err != nil {
		return fmt.Errorf("datastore: %w", err)
	}
	if err := s.startAPI(sup, addresses[0].String()); err != nil {
		return err
	}
	node, failed := s.startNode(ctx, sup)
	client, kubeconfig, err := s.client(ctx)
	if err != nil {
		return err
	}
	if err := s.afterAPI(ctx, sup, client, kubeconfig); err != nil {
		return err
	}
	go s.runNode(ctx, sup, client, node, failed)
	return s.writeKubeconfig()
}

// afterAPI starts what needs a ready API. READY waits for all of it, as for k3s' start-up hooks.
func (s *server) afterAPI(ctx context.Context, sup *component.Supervisor, client *kubernetes.Clientset, kubeconfig string) error {
	if err := s.startControllers(sup); err != nil {
		return err
	}
	if err := retry(ctx, func() error { return s.prepareJoining(ctx, client) }); err != nil {
		return fmt.Errorf("preparing for nodes to join: %w", err)
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	for _, watch := range []func(context.Context, kubernetes.Interface, informers.SharedInformerFactory) error{
		approve, forgetPasswords, manifests.KeepNodeHosts,
	} {
		if err := watch(ctx, client, factory); err != nil {
			return err
		}
	}
	applier, err := manifests.NewApplier(kubeconfig, s.path("manifests"), s.Disable)
	if err != nil {
		return err
	}
	factory.Start(ctx.Done())
	go applier.Run(ctx)
	return nil
}

// retry repeats a step for a while: roles and namespaces appear shortly after the API is ready.
func retry(ctx context.Context, step func() error) error {
	deadline := time.Now().Add(time.Minute)
	for {
		err := step()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (s *server) writeManifests() error {
	return manifests.WritePackaged(s.path("manifests"), s.Disable, manifests.Variables{
		ClusterDNS: s.ClusterDNS, ClusterDomain: s.ClusterDomain, StoragePath: s.LocalStoragePath,
	})
}

// startNode prepares the server's node while the API starts.
func (s *server) startNode(ctx context.Context, sup *component.Supervisor) (<-chan *agent.Node, <-chan error) {
	prepared, failed := make(chan *agent.Node, 1), make(chan error, 1)
	own := s.Node
	own.Token = s.secret
	go func() {
		node, err := agent.Prepare(ctx, sup, own, s.url())
		if err != nil {
			failed <- err
			return
		}
		prepared <- node
	}()
	return prepared, failed
}

// runNode runs the server's node. A node that cannot run ends the process, as in k3s.
func (s *server) runNode(ctx context.Context, sup *component.Supervisor, client kubernetes.Interface, prepared <-chan *agent.Node, failed <-chan error) {
	var err error
	select {
	case <-ctx.Done():
		return
	case err = <-failed:
	case node := <-prepared:
		go s.labelNode(ctx, client)
		err = node.Run(ctx, func() { slog.Info("the pod network of this node is set up") })
	}
	if err != nil && ctx.Err() == nil {
		sup.Fail(fmt.Errorf("the server's own node cannot run: %w", err))
	}
}

// labelNode marks the server's node; a kubelet may not give itself this label.
func (s *server) labelNode(ctx context.Context, client kubernetes.Interface) {
	patch := []byte(`{"metadata":{"labels":{"node-role.kubernetes.io/control-plane":"true"}}}`)
	err := retry(ctx, func() error {
		_, err := client.CoreV1().Nodes().Patch(ctx, s.Name, types.MergePatchType, patch, metav1.PatchOptions{})
		return err
	})
	if err != nil && ctx.Err() == nil {
		slog.Warn("labelling the server's node", "error", err)
	}
}
