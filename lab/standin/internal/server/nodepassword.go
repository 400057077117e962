package server

import (
	"context"
	"log/slog"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"aiplat.dev/standin/internal/nodepassword"
)

// forgetPasswords drops a node's password with its Node object: a reinstalled host may then take
// the name again.
func forgetPasswords(ctx context.Context, client kubernetes.Interface, factory informers.SharedInformerFactory) error {
	forget := func(object any) {
		if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
			object = gone.Obj
		}
		node, ok := object.(*corev1.Node)
		if !ok {
			return
		}
		name := nodepassword.SecretName(node.Name)
		err := client.CoreV1().Secrets(nodepassword.Namespace).Delete(ctx, name, metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			slog.Warn("removing the password of a deleted node", "node", node.Name, "error", err)
		}
	}
	_, err := factory.Core().V1().Nodes().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{DeleteFunc: forget})
	return err
}
