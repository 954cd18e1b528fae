package emailsim

import (
	"io"
	"mime/multipart"
)

// plainMultipart finds the first plain text in a multipart.
func plainMultipart(body io.Reader, boundary string, depth int) (string, bool) {
	r := multipart.NewReader(body, boundary)
	for {
		// The raw part keeps its transfer encoding, which plainPart undoes.
		p, err := r.NextRawPart()
		if err != nil {
			return "", false
		}
		if s, ok := plainPart(p.Header.Get("Content-Type"), p.Header.Get("Content-Transfer-Encoding"), p, depth+1); ok {
			return s, true
		}
	}
}
