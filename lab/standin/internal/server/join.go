package server

import (
	"context"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	applyrbacv1 "k8s.io/client-go/applyconfigurations/rbac/v1"
	"k8s.io/client-go/kubernetes"

	"aiplat.dev/standin/internal/agent"
	"aiplat.dev/standin/internal/config"
	"aiplat.dev/standin/internal/nodepassword"
	"aiplat.dev/standin/internal/token"
)

// joiners is the group that a bootstrap token puts its bearer in.
const joiners = nodepassword.Joiners

// tokenLabel marks the bootstrap tokens that follow from the configuration.
const tokenLabel = "standin.aiplat.dev/join-token"

var applying = metav1.ApplyOptions{FieldManager: "k3s", Force: true}

// grant gives a role to users or groups.
type grant struct {
	name, role string
	subjects   []*applyrbacv1.SubjectApplyConfiguration
}

func group(name string) *applyrbacv1.SubjectApplyConfiguration {
	return applyrbacv1.Subject().WithKind("Group").WithAPIGroup("rbac.authorization.k8s.io").WithName(name)
}

func person(name string) *applyrbacv1.SubjectApplyConfiguration {
	return applyrbacv1.Subject().WithKind("User").WithAPIGroup("rbac.authorization.k8s.io").WithName(name)
}

// grants are what upstream leaves to whoever builds a cluster: who may ask for certificates, which
// of those requests the controller manager approves, and what a node's own controllers may see.
var grants = []grant{
	{"k3s-node-bootstrapper", "system:node-bootstrapper", []*applyrbacv1.SubjectApplyConfiguration{group(joiners)}},
	{"k3s-approve-node-client", "system:certificates.k8s.io:certificatesigningrequests:nodeclient", []*applyrbacv1.SubjectApplyConfiguration{group(joiners)}},
	{"k3s-approve-node-renewal", "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient", []*applyrbacv1.SubjectApplyConfiguration{group("system:nodes")}},
	{"k3s-node-controller", "system:k3s-controller", []*applyrbacv1.SubjectApplyConfiguration{person("system:k3s-controller")}},
	{"k3s-cluster-settings", "system:k3s-cluster-settings", []*applyrbacv1.SubjectApplyConfiguration{group(joiners)}},
	{"kube-apiserver-kubelet-admin", "system:kubelet-api-admin", []*applyrbacv1.SubjectApplyConfiguration{person("system:apiserver")}},
}

// prepareJoining writes what nodes need before they can join: settings, roles and tokens.
func (s *server) prepareJoining(ctx context.Context, client kubernetes.Interface) error {
	settings := applycorev1.ConfigMap(agent.ClusterConfig, "kube-system").WithData(map[string]string{
		"client-ca.crt": string(s.clientCA), "clusterCIDR": config.Listed(s.ClusterCIDRs), "serviceCIDR": config.Listed(s.ServiceCIDRs),
		"clusterDNS": config.Listed(s.ClusterDNS), "clusterDomain": s.ClusterDomain,
		"disableNetworkPolicy": strconv.FormatBool(s.DisablePolicy), "disableKubeProxy": strconv.FormatBool(s.DisableProxy),
		"flannelBackend": s.FlannelBackend, "flannelIPv6Masq": strconv.FormatBool(s.IPv6Masq), "nodePorts": s.NodePorts,
	})
	if _, err := client.CoreV1().ConfigMaps("kube-system").Apply(ctx, settings, applying); err != nil {
		return err
	}
	for _, role := range roles() {
		if _, err := client.RbacV1().ClusterRoles().Apply(ctx, role, applying); err != nil {
			return err
		}
	}
	for _, g := range grants {
		binding := applyrbacv1.ClusterRoleBinding(g.name).WithSubjects(g.subjects...).
			WithRoleRef(applyrbacv1.RoleRef().WithAPIGroup(rbacv1.GroupName).WithKind("ClusterRole").WithName(g.role))
		if _, err := client.RbacV1().ClusterRoleBindings().Apply(ctx, binding, applying); err != nil {
			return err
		}
	}
	for _, secret := range []string{s.secret, s.agentSecret} {
		if err := applyToken(ctx, client, secret); err != nil {
			return err
		}
	}
	return s.removeOldTokens(ctx, client)
}

// removeOldTokens ends tokens of an earlier configuration, such as a changed agent-token.
func (s *server) removeOldTokens(ctx context.Context, client kubernetes.Interface) error {
	secrets := client.CoreV1().Secrets("kube-system")
	list, err := secrets.List(ctx, metav1.ListOptions{LabelSelector: tokenLabel})
	if err != nil {
		return err
	}
	own, _ := token.Bootstrap(s.secret)
	agents, _ := token.Bootstrap(s.agentSecret)
	for _, secret := range list.Items {
		if secret.Name == "bootstrap-token-"+own || (s.agentSecret != "" && secret.Name == "bootstrap-token-"+agents) {
			continue
		}
		if err := secrets.Delete(ctx, secret.Name, metav1.DeleteOptions{}); err != nil {
			return err
		}
	}
	return nil
}

func roles() []*applyrbacv1.ClusterRoleApplyConfiguration {
	read := []string{"get", "list", "watch"}
	return []*applyrbacv1.ClusterRoleApplyConfiguration{
		applyrbacv1.ClusterRole("system:k3s-controller").WithRules(
			applyrbacv1.PolicyRule().WithAPIGroups("").WithResources("pods", "namespaces", "nodes").WithVerbs(read...),
			// flannel writes down, in each Node object, how its pods are reached.
			applyrbacv1.PolicyRule().WithAPIGroups("").WithResources("nodes", "nodes/status").WithVerbs("patch", "update"),
			applyrbacv1.PolicyRule().WithAPIGroups("networking.k8s.io").WithResources("networkpolicies").WithVerbs(read...)),
		applyrbacv1.ClusterRole("system:k3s-cluster-settings").WithRules(
			applyrbacv1.PolicyRule().WithAPIGroups("").WithResources("configmaps").WithResourceNames(agent.ClusterConfig).WithVerbs("get")),
	}
}

// applyToken lets a k3s secret in by way of the upstream bootstrap token derived from it.
func applyToken(ctx context.Context, client kubernetes.Interface, secret string) error {
	if secret == "" {
		return nil
	}
	id, key := token.Bootstrap(secret)
	object := applycorev1.Secret("bootstrap-token-"+id, "kube-system").WithType(corev1.SecretTypeBootstrapToken).WithLabels(map[string]string{tokenLabel: "true"}).
		WithStringData(map[string]string{
			"token-id": id, "token-secret": key, "usage-bootstrap-authentication": "true", "usage-bootstrap-signing": "false",
			"auth-extra-groups": joiners, "description": "nodes that join with the cluster's token",
		})
	_, err := client.CoreV1().Secrets("kube-system").Apply(ctx, object, applying)
	return err
}
