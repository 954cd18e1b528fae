package app

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/rufweite/rufweite/internal/channel"
	"github.com/rufweite/rufweite/internal/intake"
	"github.com/rufweite/rufweite/internal/org"
	"github.com/rufweite/rufweite/internal/outbox"
)

// metrics publishes what an operator watches. Counts that need the whole table are read at most every 15 s.
func (a *App) metrics() http.Handler {
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	sends := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "rufweite_send_attempts_total", Help: "Attempts to send, by the state they led to."}, []string{"state"})
	reg.MustRegister(sends, &balanceCollector{app: a},
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "rufweite_db_writes_waiting", Help: "Writes that wait for the database."}, func() float64 { return float64(a.DB.Backlog()) }))
	a.Outbox.OnResult(func(s channel.State) { sends.WithLabelValues(string(s)).Inc() })
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{})
}

var (
	eventsDesc    = prometheus.NewDesc("rufweite_events", "Events by channel and state; received = processed + quarantined + pending.", []string{"org", "channel", "state"}, nil)
	uncertainDesc = prometheus.NewDesc("rufweite_deliveries_uncertain", "Deliveries that wait for a person's decision.", []string{"org"}, nil)
	healthDesc    = prometheus.NewDesc("rufweite_channel_red", "1 if a channel is in trouble.", []string{"org", "channel", "kind"}, nil)
)

type balanceCollector struct {
	app  *App
	mu   sync.Mutex
	at   time.Time
	last []prometheus.Metric
}

// Describe implements prometheus.Collector.
func (b *balanceCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- eventsDesc
	ch <- uncertainDesc
	ch <- healthDesc
}

// Collect implements prometheus.Collector.
func (b *balanceCollector) Collect(ch chan<- prometheus.Metric) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if time.Since(b.at) > 15*time.Second {
		if list, err := b.read(); err != nil {
			b.app.Core.Log.Warn("metrics could not be read", "error", err)
		} else {
			b.last, b.at = list, time.Now()
		}
	}
	for _, m := range b.last {
		ch <- m
	}
}

func (b *balanceCollector) read() (out []prometheus.Metric, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	orgs, err := org.All(ctx, b.app.DB)
	if err != nil {
		return nil, err
	}
	for _, v := range orgs {
		o := b.app.DB.Org(v.ID)
		list, err := intake.Balances(ctx, o)
		if err != nil {
			return nil, err
		}
		for _, r := range list {
			for state, n := range map[string]int64{"received": r.Received, "processed": r.Processed, "quarantined": r.Quarantined, "pending": r.Pending, "duplicate": r.Duplicates} {
				out = append(out, prometheus.MustNewConstMetric(eventsDesc, prometheus.GaugeValue, float64(n), v.ID, r.Channel, state))
			}
		}
		n, err := outbox.CountUncertain(ctx, o)
		if err != nil {
			return nil, err
		}
		out = append(out, prometheus.MustNewConstMetric(uncertainDesc, prometheus.GaugeValue, float64(n), v.ID))
		health, err := b.app.Accounts.Healths(ctx, v.ID)
		if err != nil {
			return nil, err
		}
		for _, c := range b.app.Accounts.List(v.ID) {
			red := 0.0
			if health[c.ID].State == "red" {
				red = 1
			}
			out = append(out, prometheus.MustNewConstMetric(healthDesc, prometheus.GaugeValue, red, v.ID, c.ID, string(c.Kind)))
		}
	}
	return out, nil
}
