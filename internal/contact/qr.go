package contact

import (
	"fmt"
	"html/template"
	"strings"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
	"github.com/makiuchi-d/gozxing/qrcode/decoder"
)

// modules makes the squares of a QR code (ISO/IEC 18004), level M, with the quiet zone of four around them.
func modules(text string) (*gozxing.BitMatrix, error) {
	m, err := qrcode.NewQRCodeWriter().Encode(text, gozxing.BarcodeFormat_QR_CODE, 0, 0, map[gozxing.EncodeHintType]interface{}{
		gozxing.EncodeHintType_ERROR_CORRECTION: decoder.ErrorCorrectionLevel_M, gozxing.EncodeHintType_MARGIN: 4, gozxing.EncodeHintType_CHARACTER_SET: "UTF-8",
	})
	if err != nil {
		return nil, fmt.Errorf("make a QR code: %w", err)
	}
	return m, nil
}

// QR is a link as a picture, black on white in every colour scheme: scanners expect that.
func QR(link, title string) (template.HTML, error) {
	m, err := modules(link)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	n := m.GetWidth()
	fmt.Fprintf(&b, `<svg class="qr" role="img" aria-label="%s" viewBox="0 0 %d %d" width="200" height="200" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h%dv%dH0z"/><path fill="#000" d="`, template.HTMLEscapeString(title), n, n, n, n)
	for y := range m.GetHeight() {
		for x := 0; x < n; x++ {
			from := x
			for x < n && m.Get(x, y) {
				x++
			}
			if x > from {
				fmt.Fprintf(&b, "M%d %dh%dv1h-%dz", from, y, x-from, x-from)
			}
		}
	}
	b.WriteString(`"/></svg>`)
	return template.HTML(b.String()), nil //nolint:gosec // numbers, and one text that is escaped
}
