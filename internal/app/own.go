package app

import (
	"maps"
	"time"

	"github.com/rufweite/rufweite/internal/api"
	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/channel/webhook"
)

// ownChannel connects the try-out of the channel of one's own with its driver, which the API does not know.
func ownChannel() *api.OwnChannel {
	o := &api.OwnChannel{
		Try: func(s channel.Settings, sample *channel.Request, now time.Time) api.Trial {
			t := webhook.Try(s, sample, now)
			out := api.Trial{Unauthentic: t.Unauthentic, Events: t.Events, Reply: t.Reply, Error: t.Error}
			for _, f := range t.Fields {
				out.Fields = append(out.Fields, api.TrialField(f))
			}
			return out
		},
		TryOutgoing: func(s channel.Settings, out channel.Outgoing, now time.Time) ([]api.Rendering, error) {
			list, err := webhook.TryOutgoing(s, out, now)
			var got []api.Rendering
			for _, r := range list {
				got = append(got, api.Rendering(r))
			}
			return got, err
		},
	}
	for _, e := range webhook.Examples() {
		x := api.OwnExample{Key: e.Key, Title: e.Title, About: e.About, APIURL: e.APIURL, Receive: e.Receive, Send: e.Send}
		for _, s := range e.Samples {
			j := api.SampleJSON{Name: s.Name, Method: s.Method, Query: s.Query, Headers: maps.Clone(s.Header), Body: s.Body}
			if s.Type != "" {
				if j.Headers == nil {
					j.Headers = map[string]string{}
				}
				j.Headers["Content-Type"] = s.Type
			}
			x.Samples = append(x.Samples, j)
		}
		o.Examples = append(o.Examples, x)
	}
	return o
}
