package nodepassword

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/kubernetes/fake"
)

func TestTheFirstPasswordUnderANameIsTheOnlyOne(t *testing.T) {
	ctx, client := context.Background(), fake.NewClientset()
	if err := Ensure(ctx, client, "a1", "first"); err != nil {
		t.Fatal(err)
	}
	if err := Ensure(ctx, client, "a1", "first"); err != nil {
		t.Error(err)
	}
	if err := Ensure(ctx, client, "a1", "second"); !errors.Is(err, ErrRejected) {
		t.Errorf("got %v", err)
	}
	if err := Ensure(ctx, client, "a2", "second"); err != nil {
		t.Error(err)
	}
	if err := client.CoreV1().Secrets(Namespace).Delete(ctx, SecretName("a1"), metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := Ensure(ctx, client, "a1", "second"); err != nil {
		t.Errorf("the name is free again: %v", err)
	}
}

func TestOnlyJoinersAreAnswered(t *testing.T) {
	groups := []string{}
	who := authenticator.RequestFunc(func(*http.Request) (*authenticator.Response, bool, error) {
		return &authenticator.Response{User: &user.DefaultInfo{Name: "x", Groups: groups}}, true, nil
	})
	handler := Handler(who, fake.NewClientset())
	ask := func(password string) int {
		request := httptest.NewRequest(http.MethodGet, Page, nil)
		request.Header.Set(NameHeader, "a1")
		request.Header.Set(PasswordHeader, password)
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)
		return answer.Code
	}
	got := []int{ask("p")}
	groups = []string{Joiners}
	got = append(got, ask("p"), ask("p"), ask("q"), ask(""))
	want := []int{401, 200, 200, 403, 400}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
}
