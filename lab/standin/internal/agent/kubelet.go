package agent

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubeletv1beta1 "k8s.io/kubelet/config/v1beta1"
	"sigs.k8s.io/yaml"

	"aiplat.dev/standin/internal/component"
	"aiplat.dev/standin/internal/config"
	"aiplat.dev/standin/internal/pki"
	"aiplat.dev/standin/internal/runtime"
)

func (n *node) startKubelet() error {
	dropIns := n.path("etc/kubelet.conf.d")
	defaults, err := yaml.Marshal(n.kubeletConfig())
	if err != nil {
		return err
	}
	if err := pki.WriteFile(filepath.Join(dropIns, "00-k3s-defaults.conf"), defaults, 0o600); err != nil {
		return err
	}
	args, err := copyOwnConfig(n.KubeletArgs, dropIns)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(n.path("pod-manifests"), 0o755); err != nil {
		return err
	}
	flags := component.Flags{
		"bootstrap-kubeconfig": n.path("bootstrap.kubeconfig"), "kubeconfig": n.path("kubelet.kubeconfig"),
		"cert-dir": n.path("pki"), "config-dir": dropIns, "hostname-override": n.Name, "node-ip": config.Listed(n.ips),
		// The one setting that upstream turns on where a configuration file says nothing.
		"read-only-port": "0",
		"node-labels":    strings.Join(append([]string{"node.kubernetes.io/instance-type=k3s"}, n.Labels...), ","), "v": n.Verbosity,
	}
	if len(n.Taints) > 0 {
		flags["register-with-taints"] = strings.Join(n.Taints, ",")
	}
	return n.sup.Start(component.Process{Name: "kubelet", Args: flags.Args(args)})
}

func (n *node) kubeletConfig() kubeletv1beta1.KubeletConfiguration {
	yes, no := true, false
	wanted := kubeletv1beta1.KubeletConfiguration{
		TypeMeta: metav1.TypeMeta{APIVersion: "kubelet.config.k8s.io/v1beta1", Kind: "KubeletConfiguration"},
		Authentication: kubeletv1beta1.KubeletAuthentication{
			Anonymous: kubeletv1beta1.KubeletAnonymousAuthentication{Enabled: &no},
			Webhook:   kubeletv1beta1.KubeletWebhookAuthentication{Enabled: &yes, CacheTTL: metav1.Duration{Duration: 2 * time.Minute}},
			X509:      kubeletv1beta1.KubeletX509Authentication{ClientCAFile: n.path("client-ca.crt")},
		},
		Authorization:            kubeletv1beta1.KubeletAuthorization{Mode: kubeletv1beta1.KubeletAuthorizationModeWebhook},
		Address:                  n.BindAddress,
		CgroupDriver:             "cgroupfs",
		ClusterDNS:               strings.Split(n.cluster["clusterDNS"], ","),
		ClusterDomain:            n.cluster["clusterDomain"],
		FailSwapOn:               &no,
		FailCgroupV1:             &no, // upstream's default refuses such machines; k3s' users set it by kubelet-arg
		RotateCertificates:       true,
		ServerTLSBootstrap:       true,
		ResolverConfig:           &n.resolvConf,
		StaticPodPath:            n.path("pod-manifests"),
		SerializeImagePulls:      &no,
		EvictionHard:             map[string]string{"imagefs.available": "5%", "nodefs.available": "5%"},
		EvictionMinimumReclaim:   map[string]string{"imagefs.available": "10%", "nodefs.available": "10%"},
		VolumePluginDir:          n.path("libexec/volume-plugins"), // upstream's default lies in /usr
		ContainerRuntimeEndpoint: "unix://" + runtime.Socket,
		ProtectKernelDefaults:    n.ProtectKernel,
	}
	if runtime.SystemdCgroup() {
		wanted.CgroupDriver = "systemd"
	}
	return wanted
}

// copyOwnConfig copies what kubelet-arg's config and config-dir name into the drop-in folder,
// after our defaults, and returns the other arguments.
func copyOwnConfig(args []string, dropIns string) ([]string, error) {
	var rest []string
	for _, arg := range args {
		name, value, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		switch name {
		case "config":
			data, err := os.ReadFile(value)
			if err != nil {
				return nil, err
			}
			if err := pki.WriteFile(filepath.Join(dropIns, "10-cli-config.conf"), data, 0o600); err != nil {
				return nil, err
			}
		case "config-dir":
			target := filepath.Join(dropIns, "20-cli-config-dir")
			if err := os.RemoveAll(target); err != nil {
				return nil, err
			}
			if err := os.CopyFS(target, os.DirFS(value)); err != nil {
				return nil, err
			}
		default:
			rest = append(rest, arg)
		}
	}
	return rest, nil
}

func (n *node) startProxy() error {
	flags := component.Flags{
		"kubeconfig": n.path("kubeproxy.kubeconfig"), "hostname-override": n.Name, "proxy-mode": "iptables",
		"cluster-cidr": n.cluster["clusterCIDR"], "healthz-bind-address": "127.0.0.1", "v": n.Verbosity,
		// Conntrack's limits belong to the machine; a host in a container may not write them.
		"conntrack-max-per-core": "0", "conntrack-tcp-timeout-established": "0", "conntrack-tcp-timeout-close-wait": "0",
	}
	return n.sup.Start(component.Process{Name: "kube-proxy", Args: flags.Args(n.ProxyArgs)})
}
