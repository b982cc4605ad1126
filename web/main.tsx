/** The page begins here: styles, the connection, and the app. */
import { render } from 'preact';
import './styles/tokens.css';
import './styles/base.css';
import './styles/frame.css';
import './styles/conversations.css';
import './styles/conversation.css';
import './styles/statistics.css';
import './styles/log.css';
import './styles/inspector.css';
import { App } from './app.tsx';
import { connect } from './state/connection.ts';
import { trackLocation } from './state/current-route.ts';

const root = document.getElementById('app');
if (root === null) throw new Error('the page has no #app');
trackLocation();
connect();
render(<App />, root);
