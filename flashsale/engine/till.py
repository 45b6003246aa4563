"""What payments are settled with: the books, the providers, and whose shop it is."""

from collections.abc import Mapping
from dataclasses import dataclass

from flashsale.engine.catalog import Catalog
from flashsale.engine.pacing import Pacers
from flashsale.providers.protocol import Provider
from flashsale.settings.payments import PaymentSettings
from flashsale.store.payments import PaymentStore
from flashsale.store.sales import SaleStore


@dataclass(frozen=True, slots=True)
class Till:
    """A shop's till."""

    name: str
    payments: PaymentStore
    sales: SaleStore
    catalog: Catalog
    providers: Mapping[str, Provider]
    pacers: Pacers
    provider: str
    """Name of the provider that takes new payments."""

    @classmethod
    def of(
        cls,
        settings: PaymentSettings,
        payments: PaymentStore,
        sales: SaleStore,
        catalog: Catalog,
        providers: Mapping[str, Provider],
    ) -> "Till":
        """The till of a shop with these settings."""
        return cls(
            name=settings.shop,
            payments=payments,
            sales=sales,
            catalog=catalog,
            providers=providers,
            pacers=Pacers(payments),
            provider=settings.provider,
        )
