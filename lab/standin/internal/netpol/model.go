// Package netpol enforces NetworkPolicies on one node with nftables. Compiling (this file,
// compile.go, peers.go) is pure: objects in, rules out; watching and applying are in run.go.
package netpol

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

// State is everything that the rules of a node depend on.
type State struct {
	Node       string
	Pods       []*corev1.Pod
	Namespaces map[string]*corev1.Namespace
	Policies   []*networkingv1.NetworkPolicy
}

// Ruleset is what a node needs in nftables.
type Ruleset struct {
	Ingress map[string]string   // address of an isolated local pod -> chain that judges traffic to it
	Egress  map[string]string   // the same for traffic from it
	Chains  map[string][]string // rules in order; a packet that no rule returns is rejected
	Addrs   map[string][]string // sets of pod addresses
	Ports   map[string][]string // sets of "address . port"
}

// direction is which side of a connection a policy looks at.
type direction struct {
	policyType networkingv1.PolicyType
	prefix     string // of names of chains and sets
	peerField  string // where the other side's address stands in a packet
}

var (
	ingress = direction{networkingv1.PolicyTypeIngress, "in", "ip saddr"}
	egress  = direction{networkingv1.PolicyTypeEgress, "out", "ip daddr"}
)

// rule is an ingress or egress rule of a policy in one form.
type rule struct {
	peers []networkingv1.NetworkPolicyPeer
	ports []networkingv1.NetworkPolicyPort
}

func (d direction) rules(policy *networkingv1.NetworkPolicy) []rule {
	var out []rule
	if d.policyType == networkingv1.PolicyTypeIngress {
		for _, r := range policy.Spec.Ingress {
			out = append(out, rule{r.From, r.Ports})
		}
		return out
	}
	for _, r := range policy.Spec.Egress {
		out = append(out, rule{r.To, r.Ports})
	}
	return out
}

// applies says whether a policy isolates pods in this direction. Without types, ingress always
// counts and egress only where there are egress rules.
func (d direction) applies(policy *networkingv1.NetworkPolicy) bool {
	types := policy.Spec.PolicyTypes
	if len(types) == 0 {
		return d.policyType == networkingv1.PolicyTypeIngress || len(policy.Spec.Egress) > 0
	}
	for _, t := range types {
		if t == d.policyType {
			return true
		}
	}
	return false
}
