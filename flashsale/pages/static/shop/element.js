/** Stripe's Payment Element, where the shop has turned it on: see docs.stripe.com/payments/payment-element. */

const SCRIPT = "https://js.stripe.com/clover/stripe.js"; // always from Stripe itself: they ask for that
let loading = null;

/**
 * Whether a payment can be made on this page.
 * @param {{stripe: boolean}} config
 * @param {any} action
 */
export function canPayHere(config, action) {
  return Boolean(config.stripe && action?.type === "client_secret" && action.client_secret && action.publishable_key);
}

function load() {
  loading ||= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = SCRIPT;
    script.onload = () => resolve(window["Stripe"]);
    script.onerror = () => {
      loading = null;
      script.remove();
      reject(new Error("Stripe.js could not be loaded"));
    };
    document.head.append(script);
  });
  return loading;
}

/**
 * Shows Stripe's form in `place`.
 * @param {HTMLElement} place
 * @param {{client_secret: string, publishable_key: string}} action
 * @param {string} language
 * @returns {Promise<() => Promise<string | null>>} confirms the payment; resolves with what to tell the shopper, null when all is well
 */
export async function mount(place, action, language) {
  const Stripe = await load();
  const stripe = Stripe(action.publishable_key, { locale: language });
  const elements = stripe.elements({ clientSecret: action.client_secret, appearance: appearance() });
  const element = elements.create("payment");
  element.mount(place);
  return async () => {
    const { error } = await stripe.confirmPayment({
      elements,
      confirmParams: { return_url: location.origin + location.pathname },
      redirect: "if_required",
    });
    return error ? error.message || error.code || "error" : null;
  };
}

function appearance() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(name).trim();
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  return {
    theme: dark ? "night" : "stripe",
    variables: { colorPrimary: of("--fs-accent"), colorBackground: of("--fs-card"), colorText: of("--fs-text"), borderRadius: "8px" },
  };
}

/** Takes what Stripe adds to the address on the way back out of it: it is meant for nobody's history. */
export function tidyAddress() {
  const url = new URL(location.href);
  const ours = ["payment_intent", "payment_intent_client_secret", "redirect_status", "source_redirect_slug"];
  if (!ours.some((name) => url.searchParams.has(name))) return;
  for (const name of ours) url.searchParams.delete(name);
  history.replaceState(history.state, "", url);
}
