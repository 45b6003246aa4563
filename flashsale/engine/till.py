"""What payments are settled with: the books, the providers, and whose shop it is."""

from collections.abc import Mapping
from dataclasses import dataclass

from flashsale.engine.catalog import Catalog
from flashsale.engine.pacing import Pacers
from flashsale.engine.rehearsals import Rehearsals
from flashsale.model.payment import SIMULATOR
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
    """Name of the provider that takes new payments, but for rehearsals."""
    rehearsals: Rehearsals

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
            rehearsals=Rehearsals(sales),
        )

    @property
    def simulated(self) -> bool:
        """Whether charges of the simulator pay for sales that are no rehearsals."""
        return self.provider == SIMULATOR

    async def provider_of(self, sale: str) -> str:
        """Name of the provider that takes new payments of a sale that has opened.

        Raises:
            StoreUnavailableError: the store failed.
        """
        return SIMULATOR if await self.rehearsals.has(sale) else self.provider

    async def takes_from(self, sale: str, provider: str) -> bool:
        """Whether a charge of this provider may pay for a sale that has opened. confirm.lua decides it so.

        Raises:
            StoreUnavailableError: the store failed.
        """
        if await self.rehearsals.has(sale):
            return provider == SIMULATOR
        return self.simulated or provider != SIMULATOR
