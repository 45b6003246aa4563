// Go: gin and redigo, one EVALSHA per request. RACE_REDIS_URL=... RACE_SCRIPT=bench/peers/reserve.lua ./gin PORT
package main

import (
	"crypto/rand"
	"encoding/hex"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/gomodule/redigo/redis"
)

const connections = 64

type line struct {
	Sku      string `json:"sku" binding:"required"`
	Quantity int    `json:"quantity" binding:"min=1"`
}

type order struct {
	Items []line `json:"items" binding:"len=1,dive"`
}

type reservation struct {
	ID     string `json:"id"`
	Sale   string `json:"sale"`
	Status string `json:"status"`
	Items  []line `json:"items"`
}

type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Code   string `json:"code"`
}

func main() {
	source, err := os.ReadFile(os.Getenv("RACE_SCRIPT"))
	if err != nil {
		log.Fatal(err)
	}
	script := redis.NewScript(2, string(source))
	pool := &redis.Pool{
		MaxIdle:     connections,
		MaxActive:   connections,
		Wait:        true,
		IdleTimeout: time.Minute,
		Dial:        func() (redis.Conn, error) { return redis.DialURL(os.Getenv("RACE_REDIS_URL")) },
	}
	soldOut := problem{Type: "about:blank", Title: "Sold out", Status: http.StatusConflict, Code: "sold_out"}
	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	router.POST("/v1/sales/:sale/reservations", func(c *gin.Context) {
		var wanted order
		if err := c.ShouldBindJSON(&wanted); err != nil {
			c.Status(http.StatusBadRequest)
			return
		}
		var random [8]byte
		if _, err := rand.Read(random[:]); err != nil {
			c.Status(http.StatusInternalServerError)
			return
		}
		id, sale, item := hex.EncodeToString(random[:]), c.Param("sale"), wanted.Items[0]
		store := pool.Get()
		defer store.Close()
		reserved, err := redis.Int(script.Do(
			store, "peer:{"+sale+"}:stock:"+item.Sku, "peer:{"+sale+"}:reservations", id, item.Quantity))
		switch {
		case err != nil:
			c.Status(http.StatusServiceUnavailable)
		case reserved == 0:
			c.Header("Content-Type", "application/problem+json")
			c.JSON(http.StatusConflict, soldOut)
		default:
			c.JSON(http.StatusCreated, reservation{id, sale, "held", wanted.Items})
		}
	})
	log.Fatal(router.Run("127.0.0.1:" + os.Args[1]))
}
