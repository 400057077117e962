package server

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// nodeClients are the client certificates that any node may have, beside its kubelet's own.
var nodeClients = []string{"system:kube-proxy", "system:k3s-controller"}

// approve signs off the requests that upstream leaves to the cluster's builder: kubelets'
// serving certificates, and the clients that run on every node.
func approve(ctx context.Context, client kubernetes.Interface, factory informers.SharedInformerFactory) error {
	decide := func(object any) {
		request, ok := object.(*certificatesv1.CertificateSigningRequest)
		if !ok || len(request.Status.Conditions) > 0 {
			return
		}
		node, err := client.CoreV1().Nodes().Get(ctx, strings.TrimPrefix(request.Spec.Username, "system:node:"), metav1.GetOptions{})
		if err != nil {
			node = nil
		}
		why, reason := verdict(request, node)
		if !why {
			if reason != "" {
				slog.Warn("certificate request is left alone", "request", request.Name, "by", request.Spec.Username, "reason", reason)
			}
			return
		}
		approved := request.DeepCopy()
		approved.Status.Conditions = append(approved.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
			Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: "NodeCertificate", Message: reason,
		})
		if _, err := client.CertificatesV1().CertificateSigningRequests().UpdateApproval(ctx, request.Name, approved, metav1.UpdateOptions{}); err != nil {
			slog.Warn("approving a certificate request", "request", request.Name, "error", err)
		}
	}
	_, err := factory.Certificates().V1().CertificateSigningRequests().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: decide, UpdateFunc: func(_, o any) { decide(o) },
	})
	return err
}

// verdict says whether a request may be approved, and why or why not. No reason means that the
// request is none of ours.
func verdict(request *certificatesv1.CertificateSigningRequest, node *corev1.Node) (bool, string) {
	block, _ := pem.Decode(request.Spec.Request)
	if block == nil {
		return false, ""
	}
	parsed, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return false, ""
	}
	switch request.Spec.SignerName {
	case certificatesv1.KubeAPIServerClientSignerName:
		fromNode := slices.Contains(request.Spec.Groups, "system:nodes") || slices.Contains(request.Spec.Groups, joiners)
		plain := len(parsed.Subject.Organization) == 0 && len(parsed.DNSNames)+len(parsed.IPAddresses) == 0
		if fromNode && plain && slices.Contains(nodeClients, parsed.Subject.CommonName) {
			return true, "a node's own client " + parsed.Subject.CommonName
		}
	case certificatesv1.KubeletServingSignerName:
		return servingVerdict(request, parsed, node)
	}
	return false, ""
}

// servingVerdict lets a kubelet serve under its own name and addresses only.
func servingVerdict(request *certificatesv1.CertificateSigningRequest, parsed *x509.CertificateRequest, node *corev1.Node) (bool, string) {
	if node == nil || !slices.Contains(request.Spec.Groups, "system:nodes") || parsed.Subject.CommonName != request.Spec.Username {
		return false, "it does not come from the kubelet that it names"
	}
	var known []string
	for _, address := range node.Status.Addresses {
		known = append(known, address.Address)
	}
	for _, name := range parsed.DNSNames {
		if name != node.Name && !slices.Contains(known, name) {
			return false, fmt.Sprintf("%s is not a name of node %s", name, node.Name)
		}
	}
	for _, ip := range parsed.IPAddresses {
		if !slices.Contains(known, ip.String()) {
			return false, fmt.Sprintf("%s is not an address of node %s", ip, node.Name)
		}
	}
	return true, "the kubelet of node " + node.Name
}
