package server

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/k3s-io/kine/pkg/drivers/sqlite"
	"github.com/k3s-io/kine/pkg/endpoint"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"aiplat.dev/standin/internal/agent"
	"aiplat.dev/standin/internal/component"
	"aiplat.dev/standin/internal/config"
)

// etcdVersion is what kine claims to be; the API server turns features on by it.
const etcdVersion = "3.6.14"

func (s *server) startDatastore(ctx context.Context) error {
	db := s.path("db")
	if err := os.MkdirAll(db, 0o700); err != nil {
		return err
	}
	// The datastore outlives the stop signal: the API server still writes while it shuts down, and
	// would hang without it. It ends with this process; SQLite's log makes that safe.
	_, err := endpoint.Listen(context.WithoutCancel(ctx), endpoint.Config{
		Listener: s.socket(), Endpoint: "sqlite://" + filepath.Join(db, "state.db") + "?" + sqlite.DefaultParams,
		NotifyInterval: 5 * time.Second, PollInterval: time.Second, PollBatchSize: 500, EmulatedETCDVersion: etcdVersion,
		CompactInterval: 5 * time.Minute, CompactTimeout: 5 * time.Second, CompactMinRetain: 1000, CompactBatchSize: 1000,
	})
	return err
}

func (s *server) startAPI(sup *component.Supervisor, nodeIP string) error {
	advertise := s.Advertise
	if advertise == "" {
		advertise = nodeIP
	}
	flags := component.Flags{
		"secure-port": s.Port, "bind-address": s.BindAddress, "advertise-address": advertise,
		"tls-cert-file": s.tls("serving-kube-apiserver.crt"), "tls-private-key-file": s.tls("serving-kube-apiserver.key"),
		"client-ca-file": s.tls("client-ca.crt"), "anonymous-auth": "false", "authorization-mode": "Node,RBAC",
		"enable-bootstrap-token-auth": "true", "enable-admission-plugins": "NodeRestriction", "allow-privileged": "true",
		"etcd-servers": s.socket(), "storage-backend": "etcd3", "profiling": "false",
		"service-cluster-ip-range": config.Listed(s.ServiceCIDRs), "service-node-port-range": s.NodePorts,
		"service-account-issuer":             "https://kubernetes.default.svc." + s.ClusterDomain,
		"api-audiences":                      "https://kubernetes.default.svc." + s.ClusterDomain + ",k3s",
		"service-account-key-file":           s.tls("service.key"),
		"service-account-signing-key-file":   s.tls("service.key"),
		"kubelet-client-certificate":         s.tls("client-kube-apiserver.crt"),
		"kubelet-client-key":                 s.tls("client-kube-apiserver.key"),
		"kubelet-certificate-authority":      s.tls("server-ca.crt"),
		"kubelet-preferred-address-types":    "InternalIP",
		"requestheader-client-ca-file":       s.tls("request-header-ca.crt"),
		"requestheader-allowed-names":        "system:auth-proxy",
		"requestheader-group-headers":        "X-Remote-Group",
		"requestheader-username-headers":     "X-Remote-User",
		"requestheader-extra-headers-prefix": "X-Remote-Extra-",
		"proxy-client-cert-file":             s.tls("client-auth-proxy.crt"),
		"proxy-client-key-file":              s.tls("client-auth-proxy.key"),
		"v":                                  s.Verbosity,
	}
	if s.Encryption {
		flags["encryption-provider-config"] = s.encryptionFile()
		flags["encryption-provider-config-automatic-reload"] = "true"
	}
	// Its own clean-up takes a moment; after that it only waits for clients that watch to go away,
	// which k3s does not do either.
	return sup.Start(component.Process{Name: "kube-apiserver", Args: flags.Args(s.APIServerArgs), Grace: time.Second,
		Env: []string{component.CAFileVariable + "=" + s.tls("server-ca.crt")}})
}

// client connects to the API as the supervisor, and waits until it is ready.
func (s *server) client(ctx context.Context) (*kubernetes.Clientset, string, error) {
	path := s.path("cred", "supervisor.kubeconfig")
	err := agent.WriteKubeconfig(path, s.url(), s.tls("server-ca.crt"),
		agent.Credentials{Cert: s.tls("client-supervisor.crt"), Key: s.tls("client-supervisor.key")})
	if err != nil {
		return nil, "", err
	}
	access, err := agent.ClientConfig(path)
	if err != nil {
		return nil, "", err
	}
	client, err := kubernetes.NewForConfig(access)
	if err != nil {
		return nil, "", err
	}
	err = wait.PollUntilContextCancel(ctx, 100*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		var status int
		client.RESTClient().Get().AbsPath("/readyz").Do(ctx).StatusCode(&status)
		return status == http.StatusOK, nil
	})
	if err != nil {
		return nil, "", fmt.Errorf("the API server does not become ready: %w", err)
	}
	return client, path, nil
}

func (s *server) startControllers(sup *component.Supervisor) error {
	controller := s.path("cred", "controller.kubeconfig")
	err := agent.WriteKubeconfig(controller, s.url(), s.tls("server-ca.crt"),
		agent.Credentials{Cert: s.tls("client-controller.crt"), Key: s.tls("client-controller.key")})
	if err != nil {
		return err
	}
	flags := component.Flags{
		"kubeconfig": controller, "authentication-kubeconfig": controller, "authorization-kubeconfig": controller,
		"bind-address": "127.0.0.1", "leader-elect": "false", "profiling": "false", "use-service-account-credentials": "true",
		"allocate-node-cidrs": "true", "cluster-cidr": config.Listed(s.ClusterCIDRs), "service-cluster-ip-range": config.Listed(s.ServiceCIDRs),
		"controllers": "*,tokencleaner", "root-ca-file": s.tls("server-ca.crt"), "service-account-private-key-file": s.tls("service.key"),
		"cluster-signing-kubelet-client-cert-file":        s.tls("client-ca.crt"),
		"cluster-signing-kubelet-client-key-file":         s.tls("client-ca.key"),
		"cluster-signing-kube-apiserver-client-cert-file": s.tls("client-ca.crt"),
		"cluster-signing-kube-apiserver-client-key-file":  s.tls("client-ca.key"),
		"cluster-signing-kubelet-serving-cert-file":       s.tls("server-ca.crt"),
		"cluster-signing-kubelet-serving-key-file":        s.tls("server-ca.key"),
		"cluster-signing-legacy-unknown-cert-file":        s.tls("server-ca.crt"),
		"cluster-signing-legacy-unknown-key-file":         s.tls("server-ca.key"),
		// Each controller fetches a token of its own at the start; at upstream's default rate that alone
		// takes five seconds, for which the first node would wait.
		"kube-api-qps": "100", "kube-api-burst": "200",
		"v": s.Verbosity,
	}
	if err := sup.Start(component.Process{Name: "kube-controller-manager", Args: flags.Args(s.ControllerArgs)}); err != nil || s.DisableScheduler {
		return err
	}
	scheduler := s.path("cred", "scheduler.kubeconfig")
	err = agent.WriteKubeconfig(scheduler, s.url(), s.tls("server-ca.crt"),
		agent.Credentials{Cert: s.tls("client-scheduler.crt"), Key: s.tls("client-scheduler.key")})
	if err != nil {
		return err
	}
	flags = component.Flags{"kubeconfig": scheduler, "authentication-kubeconfig": scheduler, "authorization-kubeconfig": scheduler,
		"bind-address": "127.0.0.1", "leader-elect": "false", "profiling": "false", "v": s.Verbosity}
	return sup.Start(component.Process{Name: "kube-scheduler", Args: flags.Args(s.SchedulerArgs)})
}
